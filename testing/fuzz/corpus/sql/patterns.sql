SELECT 'aaaaaaaaaaaaaaaaaaaab' LIKE '%a%a%a%a%a%a%c', host GLOB '[h-z]*[^2]', name LIKE 'x%%' ESCAPE 'x', 'abc' NOT LIKE NULL FROM cpu, jobs
