"""STAC items and collections, and the databases that index them."""

from catalog.collection import make_collection
from catalog.hrefs import absolute
from catalog.item import COLLECTION_ID, Holding, StoreDescription, holding_of, make_item, valid_of, with_holding
from catalog.sqlite import Catalogue, open_catalogue

__all__ = [
    "COLLECTION_ID",
    "Catalogue",
    "Holding",
    "StoreDescription",
    "absolute",
    "holding_of",
    "make_collection",
    "make_item",
    "open_catalogue",
    "valid_of",
    "with_holding",
]
