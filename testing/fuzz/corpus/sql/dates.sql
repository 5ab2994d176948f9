SELECT datetime(0, 'unixepoch', '+1 month', 'weekday 1'), strftime('%Y-%m-%dT%H:%M:%f %j %W', 'now'), julianday('2026-01-01'), unixepoch('2026-11-22 11:36:00')
