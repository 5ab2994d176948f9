SELECT * FROM qasino_server_tables t JOIN qasino_server_connections USING (identity)
