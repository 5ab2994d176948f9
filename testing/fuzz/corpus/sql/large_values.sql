SELECT zeroblob(30000000), hex(zeroblob(1000000)), group_concat(printf('%1000000d', 1)) FROM cpu
