"""What is kept in PostgreSQL beside pgstac, and what pgstac is told of it.

pgstac keeps what can be found, in its own form: without nulls, thinned out by the collection's ``item_assets``, and
nothing that has no place on the ground. The schema ``abut`` has what pgstac has no place for: each item as it was
handed in (``abut.items.document``, as `catalog.documents` keeps it), the revision rule, families of versions, and
withdrawn items, which are not in ``pgstac.items`` so that no search finds them; and, in ``abut.settings``, whose
catalogue it is (`catalog.owner`).
"""

from __future__ import annotations

import unicodedata
from typing import Final

SCHEMA_VERSION: Final = 2
"""Version of the tables of the schema ``abut``, in ``abut.version``."""

QUERYABLES: Final = {
    "grid:code": ("string", "to_text", "BTREE"),
    "eo:cloud_cover": ("number", "to_float", "BTREE"),
    "s2:datatake_id": ("string", "to_text", "BTREE"),
    "sat:relative_orbit": ("number", "to_float", "BTREE"),
    "platform": ("string", "to_text", None),
    "processing:version": ("string", "to_text", None),
    "s2:datastrip_id": ("string", "to_text", None),
    "deprecated": ("boolean", "to_text", None),
}
"""Properties that pgstac is told of: type, how it reads them, and kind of index; none where many items share values."""

_VERSION_1: Final = r"""
    CREATE TABLE abut.items (
        collection text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        store text,
        revision bigint NOT NULL,
        created bigint,
        withdrawn boolean NOT NULL,
        family text COLLATE "C",
        first_moment bigint NOT NULL,
        last_moment bigint NOT NULL,
        west float8,
        east float8,
        south float8,
        north float8,
        facts jsonb NOT NULL,
        document bytea NOT NULL,
        PRIMARY KEY (collection, id)
    );
    CREATE INDEX items_family ON abut.items (family) WHERE family IS NOT NULL;
    -- What handles an exception can't run in parallel.
    CREATE FUNCTION abut.instant(value jsonb) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE
            WHEN jsonb_typeof(value) = 'string'
                AND value #>> '{}' ~* '^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)$'
            THEN (value #>> '{}')::timestamptz
        END;
    EXCEPTION WHEN data_exception THEN RETURN NULL;
    END $$;
    -- The exact remainder, as C has it, by whole numbers: PostgreSQL has none of floating point.
    CREATE FUNCTION abut.parts(value float8, OUT mantissa numeric, OUT exponent int)
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT sign(value)::int * ((bits & 4503599627370495) + CASE WHEN power > 0 THEN 4503599627370496 ELSE 0 END),
            greatest(power, 1) - 1075
        FROM (SELECT ('x' || encode(float8send(abs(value)), 'hex'))::bit(64)::bigint AS bits) AS b,
            LATERAL (SELECT (bits >> 52)::int AS power) AS p
    $$;
    CREATE FUNCTION abut.remainder(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT mod(
            x.mantissa * power(2::numeric, x.exponent - unit), y.mantissa * power(2::numeric, y.exponent - unit)
        )::float8 * power(2::float8, unit)
        FROM abut.parts(a) AS x, abut.parts(b) AS y, LATERAL (SELECT least(x.exponent, y.exponent)) AS l (unit)
    $$;
    CREATE FUNCTION abut.calculated(operator text, a float8, b float8) RETURNS float8
    LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE operator
            WHEN '+' THEN a + b WHEN '-' THEN a - b WHEN '*' THEN a * b WHEN '/' THEN a / b
            WHEN 'div' THEN trunc(a / b) WHEN '%' THEN abut.remainder(a, b) WHEN '^' THEN power(a, b)
        END;
    EXCEPTION WHEN data_exception THEN RETURN NULL;
    END $$;
    -- As Unicode folds case: by way of upper case, where one letter may become two. What that tells apart or merges
    -- wrongly is exchanged before and after: a capital sharp s, a dotless i, a sigma at the end of a word.
    DO $do$ BEGIN
        EXECUTE format(
            'CREATE FUNCTION abut.folded(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ '
            'SELECT translate(lower(upper(translate(value, U&''\1E9E\0131'', U&''\00DF\E000'') COLLATE %1$s) '
            'COLLATE %1$s), U&''\03C2\E000'', U&''\03C3\0131'') $$',
            coalesce((SELECT '"und-x-icu"' FROM pg_collation WHERE collname = 'und-x-icu' LIMIT 1), '"default"')
        );
    END $do$;
    CREATE FUNCTION abut.unaccented(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT regexp_replace(normalize(value, NFKD), '[<combining>]', '', 'g')
    $$;
    -- Relations that fail on invalid geometries are unknown.
    CREATE FUNCTION abut.related(relation text, a geometry, b geometry) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT AS $$
    BEGIN
        RETURN CASE relation
            WHEN 's_disjoint' THEN ST_Disjoint(a, b) WHEN 's_touches' THEN ST_Touches(a, b)
            WHEN 's_crosses' THEN ST_Crosses(a, b) WHEN 's_overlaps' THEN ST_Overlaps(a, b)
            WHEN 's_within' THEN ST_Within(a, b) WHEN 's_contains' THEN ST_Contains(a, b)
            WHEN 's_equals' THEN ST_Equals(a, b)
        END;
    EXCEPTION WHEN internal_error THEN RETURN NULL;
    END $$;
    CREATE FUNCTION abut.overlapping(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT EXISTS (
            SELECT FROM jsonb_array_elements(a) AS x (value) JOIN jsonb_array_elements(b) AS y (value) USING (value)
        )
    $$;
    GRANT USAGE ON SCHEMA abut TO pgstac_read, pgstac_ingest;
    GRANT SELECT ON abut.version, abut.items TO pgstac_read, pgstac_ingest;
    GRANT INSERT, UPDATE, DELETE ON abut.items TO pgstac_ingest;
    COMMENT ON SCHEMA abut IS 'Items of an archive, beside pgstac';
    COMMENT ON COLUMN abut.items.document IS 'The item, in pieces that become answers; pgstac.items has it to look at';
    COMMENT ON COLUMN abut.items.first_moment IS 'Microseconds since 1970';
    COMMENT ON COLUMN abut.items.west IS '-180 to 180; east goes on where the item crosses 180 degrees';
    COMMENT ON COLUMN abut.items.facts IS 'What items are counted by: few properties, which are quick to read';
    COMMENT ON COLUMN abut.items.withdrawn IS 'Withdrawn items are not in pgstac.items';
"""

_VERSION_2: Final = """
    CREATE TABLE abut.settings (name text PRIMARY KEY, value text NOT NULL);
    GRANT SELECT ON abut.settings TO pgstac_read, pgstac_ingest;
    GRANT INSERT ON abut.settings TO pgstac_ingest;
    COMMENT ON TABLE abut.settings IS 'archive: whose items these are';
"""


def _combining() -> str:
    """Return the accents of Unicode's first plane, as ranges of a regular expression."""
    letters = [number for number in range(0x300, 0x10000) if unicodedata.combining(chr(number))]
    starts = [number for number in letters if number - 1 not in letters]
    ends = [number for number in letters if number + 1 not in letters]
    return "".join(rf"\u{start:04x}-\u{end:04x}" for start, end in zip(starts, ends, strict=True))


MIGRATIONS: Final = (_VERSION_1.replace("<combining>", _combining()), _VERSION_2)
"""Statements that lead from each version to the next. Documents are what `catalog.documents.template` makes."""
