SELECT json_group_array(json_object('host', host, 'load', load)), json_patch('{"a":1}', '{"b":2}'), '[1,2]' ->> '$[0]' FROM cpu
