SELECT a.host FROM cpu a, cpu b, cpu c, cpu d, cpu e, cpu f, cpu g ORDER BY a.load || b.host || randomblob(100)
