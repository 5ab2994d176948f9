VACUUM INTO '/tmp/x'
