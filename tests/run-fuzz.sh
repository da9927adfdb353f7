#!/bin/sh
# make fuzz: runs each target of tests/fuzz for FUZZ_SECONDS (20) under the address and undefined-behaviour sanitizers. What
# was found of interest is kept in build/fuzz/corpus and used again. Ends in "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 1

DIR=build/fuzz
SECONDS_EACH=${FUZZ_SECONDS:-20}
targets=$(ls tests/fuzz/fuzz_*.c)
mkdir -p $DIR build/test-logs

probe=$DIR/probe
echo 'int LLVMFuzzerTestOneInput(const void *d, unsigned long n); int LLVMFuzzerTestOneInput(const void *d, unsigned long n) { (void)d; (void)n; return 0; }' >$probe.c
if ! clang -fsanitize=fuzzer,address -o $probe $probe.c 2>$probe.log; then
        echo "SKIPPED: clang cannot build a fuzz target here: $(head -n 1 $probe.log); make deps brings libclang-rt-dev"
        echo "0 passed, 0 failed, $(echo "$targets" | wc -l) skipped"
        exit 0
fi
make --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined BUILD=$DIR fuzz-targets || exit 1

# seeds NAME: files to begin with, where there is something that fits.
seeds() {
        case $1 in
        fuzz_hcl | fuzz_config) ls systemd/*.hcl.example tests/unit/config/*.hcl tests/unit/config/*.json 2>/dev/null ;;
        fuzz_certificate) [ ! -f $DIR/seed.pem ] || echo $DIR/seed.pem ;;
        fuzz_vault_reply) ls $DIR/replies/* ;;
        esac
}

# A certificate, its key and its chain, with a NUL between; a reply with every field for each operation.
if openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=seed -keyout $DIR/seed.key \
        -out $DIR/seed.crt 2>/dev/null; then
        { cat $DIR/seed.crt; printf '\0'; cat $DIR/seed.key; printf '\0'; cat $DIR/seed.crt; } >$DIR/seed.pem
fi
mkdir -p $DIR/replies
for op in 00 01 02 03 04 05 06 07 10 11 12 13; do
        for data in '{"a":"b"}' '{"data":{"a":"b"},"metadata":{"version":1,"deletion_time":"","destroyed":false}}' \
                '{"ttl":9,"creation_ttl":9,"explicit_max_ttl":0,"renewable":true,"num_uses":0,"policies":["root"]}' \
                '{"creation_path":"p","secret_id":"s","certificate":"c","ca_chain":["d"],"private_key":"k"}'; do
                name=$DIR/replies/$op-${#data}
                printf '%b%b' "\\0$op" '\0000' >"$name"
                printf '{"request_id":"r","lease_id":"l","lease_duration":60,"renewable":true,"mount_type":"kv","sealed":false,"data":%s,"auth":%s}' \
                        "$data" '{"client_token":"t","accessor":"a","lease_duration":60,"renewable":true,"num_uses":0}' >>"$name"
        done
done

passed=0 failed=0
for source in $targets; do
        name=$(basename "$source" .c)
        corpus=$DIR/corpus/$name log=build/test-logs/$name.log
        mkdir -p "$corpus"
        for seed in $(seeds "$name"); do
                cp "$seed" "$corpus/seed-$(basename "$seed")"
        done
        # Twice the time and a minute is for a target that does not end by itself.
        if timeout -k 5 $((SECONDS_EACH * 2 + 60)) "$DIR/tests/fuzz/$name" -max_total_time="$SECONDS_EACH" -timeout=10 \
                -rss_limit_mb=1024 -max_len=8192 -print_final_stats=1 -dict=tests/fuzz/words.dict -artifact_prefix="$DIR/$name-" "$corpus" >"$log" 2>&1; then
                passed=$((passed + 1))
                echo "  ok    $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, $(find "$corpus" -type f | wc -l) kept"
        else
                failed=$((failed + 1))
                echo "  FAIL  $name: see $log; the input is $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
                grep -m 3 -E 'ERROR|runtime error|SUMMARY' "$log" | sed 's/^/        /'
        fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
