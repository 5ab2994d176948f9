SELECT host, load, cores FROM cpu WHERE load > ?1 AND host LIKE 'h_' ORDER BY load DESC LIMIT 2 OFFSET 0;
