"""The STAC API."""

import logging

# While it is imported, stac-fastapi warns of default titles, which it is given only later (`services.stac.app`).
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)
