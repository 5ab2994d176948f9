PRAGMA table_list
