"""Rows written from columns by the database's quickest way, without a Python object a row.

PostgreSQL takes a binary `COPY` straight from NumPy arrays, SQLite an `executemany` of many rows a statement inside
one transaction, any other database `bulk_create`. All three write identical rows. The managers of tables with a row a
task or more offer it as `bulk_create_columns`; every other table is written by Django's own `bulk_create`.
"""
