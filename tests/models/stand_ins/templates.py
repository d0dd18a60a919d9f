"""Chat templates: those that TRL keeps copies of, and three of our own in the published formats."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path


def published(name: str) -> str:
    """Return TRL's copy of a published chat template."""
    path = distribution("trl").locate_file(f"trl/chat_templates/{name}.jinja")
    return Path(str(path)).read_text()


# Turns as in ChatML; an image is one placeholder on a line of its own.
INTERNVL = """\
{%- for turn in messages -%}
{{ '<|im_start|>' + turn['role'] + '\n' }}
{%- if turn['content'] is string %}{{ turn['content'] }}{% else %}
{%- for part in turn['content'] %}
{%- if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}
{%- elif part['type'] == 'video' %}{{ '<video>\n' }}
{%- elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}
{%- endfor %}
{%- endif %}{{ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

# A blank behind the role and a line break before each text, but a generation prompt without the
# blank: what the model is asked with is no prefix of the conversation. Images come before texts
# wherever they stand, only lists of parts are read, and no line ends behind <|im_end|>.
LLAVA_ONEVISION = """\
{%- for turn in messages -%}
{{ '<|im_start|>' + turn['role'] + ' ' }}
{%- for part in turn['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}
{%- for part in turn['content'] if part['type'] == 'video' %}{{ '<video>' }}{% endfor %}
{%- for part in turn['content'] if part['type'] == 'text' %}
{%- if turn['role'] == 'assistant' %}
{%- generation %}{{ '\n' + part['text'] }}{% endgeneration %}
{%- else %}{{ '\n' + part['text'] }}{% endif %}
{%- endfor %}{{ '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

# No token ends a turn: the next role does. System and assistant turns print their content as it is,
# so a list of parts would be printed as a list.
GLM = """\
{{ '[gMASK]<sop>' }}
{%- for turn in messages %}{{ '<|' + turn.role + '|>\n' }}
{%- if turn.role != 'user' or turn.content is string %}{{ turn.content }}{% else %}
{%- for part in turn.content %}
{%- if part.type == 'video' or 'video' in part %}
{{- '<|begin_of_video|><|video|><|end_of_video|>' }}
{%- elif part.type == 'image' or 'image' in part %}
{{- '<|begin_of_image|><|image|><|end_of_image|>' }}
{%- elif part.type == 'text' %}{{ part.text }}{% endif %}
{%- endfor %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"""
