"""STAC items and collections, and the databases that index them."""

from catalog.collection import make_collection
from catalog.item import COLLECTION_ID, Holding, StoreDescription, holding_of, make_item, valid_of, with_holding

__all__ = [
    "COLLECTION_ID",
    "Holding",
    "StoreDescription",
    "holding_of",
    "make_collection",
    "make_item",
    "valid_of",
    "with_holding",
]
