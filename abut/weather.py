"""ECMWF and CAMS fields of a product, on their own grid, as they came with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr
import zarr
from zarr.storage import ObjectStore

from abut.layout import METEOROLOGY
from abut.view_masks import of_product

if TYPE_CHECKING:
    from abut.product import Product
    from abut.store import Store


def weather_of(store: Store, product_id: str) -> xr.Dataset:
    """Return a product's weather fields.

    Parameters
    ----------
    store : Store
        The archive.
    product_id : str
        The product.

    Returns
    -------
    xarray.Dataset
        ``ecmwf_tco3``, ``cams_aod550`` ... (float64) with their units and times as attributes, on
        ``ecmwf_latitude``, ``ecmwf_longitude``, ``cams_latitude`` and ``cams_longitude`` in degrees. Empty where the
        product came without such files, or with files that could not be read at ingest.

    Raises
    ------
    ProductNotFoundError, MissingObjectError
        If the product or its objects are gone.
    """
    return of_product(store, product_id, lambda product: _fields(store, product))


def _fields(store: Store, product: Product) -> xr.Dataset:
    start = f"{METEOROLOGY}/"
    inside = [key.removeprefix(start).split("/") for key in product.record.objects if key.startswith(start)]
    names = [parts[0] for parts in inside if parts[1:] == ["zarr.json"]]
    backend = ObjectStore(store.backend, read_only=True)
    variables: dict[str, Any] = {}
    for name in sorted(names):
        path = f"{product.folder}/{start}{name}"
        array: zarr.Array[Any] = zarr.open_array(backend, path=path, mode="r", zarr_format=3)
        axes = getattr(array.metadata, "dimension_names", None) or ()
        variables[name] = (axes, array[...], dict(array.attrs))
    own = [name for name, (axes, _, _) in variables.items() if axes == (name,)]
    return xr.Dataset(
        {name: value for name, value in variables.items() if name not in own},
        {name: variables[name] for name in own},
        {"product": product.id},
    )
