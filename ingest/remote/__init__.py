"""SAFE that lies elsewhere: in a bucket, or on a web server, fetched to scratch for as long as it is ingested."""
