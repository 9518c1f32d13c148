#!/bin/sh
# Makes the certificates of the tests: an authority, and two of its certificates for this machine, good for a hundred
# years. Their keys guard nothing.
set -eu
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj '/CN=Authority of the tests' \
    -addext 'keyUsage=critical,keyCertSign' -keyout authority.key -out authority.pem
for name in first renewed; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$name.key" -out "$name.request"
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' > extensions
    openssl x509 -req -in "$name.request" -CA authority.pem -CAkey authority.key -days 36500 -extfile extensions -out "$name.pem"
    rm "$name.request" extensions
done
rm -f authority.key authority.srl
