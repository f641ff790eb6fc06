#!/bin/sh
# Runs once, when PostgreSQL makes its data: a database and a role for each service.
# No service can enter another's database.
set -eu

make_database() {
    psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v service="$1" -v password="$2" \
        --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
}

make_database booking "$BOOKING_DB_PASSWORD"
make_database credits "$CREDITS_DB_PASSWORD"
make_database notifier "$NOTIFIER_DB_PASSWORD"
