"""What several tests share: networks of other frameworks, the scripts as functions.

`checked` checks annotated shapes and types: an int may stand for a float (PEP 484).
"""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
