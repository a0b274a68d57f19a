"""The providers and models fastroute knows by name: who they are, and which of them this environment has a key for."""

from fastroute.catalogue.found import Found, FoundKey, FoundProvider, find_providers
from fastroute.catalogue.models import ModelFacts, Models, model_facts, read_models
from fastroute.catalogue.rows import SIGNED, Catalogue, Row, read_catalogue

__all__ = [
    "SIGNED",
    "Catalogue",
    "Found",
    "FoundKey",
    "FoundProvider",
    "ModelFacts",
    "Models",
    "Row",
    "find_providers",
    "model_facts",
    "read_catalogue",
    "read_models",
]
