#!/bin/sh
# Makes what docker-compose.yml wants to be told in secret: `sh deploy/secrets.sh calls.example.com`.
# What exists already stays as it is. The certificate is a self-signed one, to be replaced.
set -eu

name=${1:-}
case $name in
'' | *[!A-Za-z0-9.-]*)
    echo "usage: sh deploy/secrets.sh NAME   the name under which people reach the system" >&2
    exit 2
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
secrets=$here/secrets
umask 077
mkdir -p "$secrets"

random() { LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 64; }
# From standard input; each container reads as a user of its own, others are kept out of the folder.
keep() {
    cat >"$secrets/.$1"
    chmod 644 "$secrets/.$1"
    mv "$secrets/.$1" "$secrets/$1"
    echo "made deploy/secrets/$1"
}
missing() { [ ! -e "$secrets/$1" ]; }

if missing secret_key; then random | keep secret_key; fi
if missing postgres_password; then random | keep postgres_password; fi
if missing database_url; then
    echo "postgresql://callcenter:$(cat "$secrets/postgres_password")@postgres:5432/callcenter" |
        keep database_url
fi
if missing redis_conf || missing redis_url; then
    password=$(random)
    printf '%s\n' "requirepass $password" 'bind * -::*' 'save ""' 'appendonly no' \
        'maxmemory 256mb' 'maxmemory-policy allkeys-lru' | keep redis_conf
    echo "redis://:$password@redis:6379/0" | keep redis_url
fi
# Empty: recordings go to the volume `data`, the AI service wants no key, Twilio brings one of ours.
for optional in storage_url ai_api_key twilio_auth_token; do
    if missing $optional; then keep $optional </dev/null; fi
done
if missing tls_key.pem || missing tls_certificate.pem; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout "$secrets/new_key" -out "$secrets/new_certificate" 2>/dev/null
    keep tls_key.pem <"$secrets/new_key"
    keep tls_certificate.pem <"$secrets/new_certificate"
    rm "$secrets/new_key" "$secrets/new_certificate"
fi
if [ ! -e "$here/../.env" ]; then
    echo "ALLOWED_HOSTS=$name" >"$here/../.env"
    echo "made .env"
fi
