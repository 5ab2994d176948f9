SELECT * FROM pragma_table_info('cpu') UNION ALL SELECT name, 1, type, sql, rootpage, 1 FROM sqlite_schema
