show info;
