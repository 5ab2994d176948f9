SELECT key, value, type, fullkey FROM "order", json_tree("select") WHERE json_extract("select", '$.a[#-1]') = 2
