"""A stage counts the model's own parameters, its adapters' and the trained ones apart."""

from vasari.model.transformers_policy import load_model
from vasari.run.training import _parameters
from vasari.train.settings import LoraSettings, TrainedWeights
from vasari.train.weights import prepare_weights


def test_adapters_are_not_counted_as_the_models_parameters(tiny_folder):
    model = load_model(str(tiny_folder))
    own = sum(weight.numel() for weight in model.parameters())
    assert _parameters(model) == {"num_parameters": own, "num_trained_parameters": own}
    adapted = prepare_weights(model, TrainedWeights(lora=LoraSettings(rank=2)))
    added = sum(weight.numel() for weight in adapted.parameters()) - own
    assert added > 0
    assert _parameters(adapted) == {
        "num_parameters": own,
        "num_adapter_parameters": added,
        "num_trained_parameters": added,
    }
