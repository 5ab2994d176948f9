SELECT c.host, j.name, o."select" FROM cpu AS c LEFT JOIN jobs j ON j.id = c.cores FULL OUTER JOIN "order" o ON 1 CROSS JOIN cities
