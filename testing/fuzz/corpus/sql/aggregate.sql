SELECT name, count(*), count(DISTINCT id), sum(length(body)) FILTER (WHERE id > 1), group_concat(id, ',') FROM jobs GROUP BY name COLLATE NOCASE HAVING count(*) > 0 ORDER BY 1 NULLS LAST
