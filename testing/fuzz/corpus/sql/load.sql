SELECT load_extension('x'), writefile('/tmp/x', 'y'), readfile('/etc/passwd'), edit('x')
