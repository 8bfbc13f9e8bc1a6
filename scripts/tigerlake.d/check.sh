# The project's tests on the emulated chip, twice: with AVX-512, and with an AVX-512 that the system does not enable.
# Sourced by scripts/tigerlake. The binaries are the ones that `cargo test --release` runs here, without their debug information.

cd "$here/../.."
checks=$(mktemp -d)
trap 'rm -rf "$checks"' EXIT
mkdir -p "$checks/root/bin"

# cargo names each test program that it built: `Executable unittests src/lib.rs (target/release/deps/loopos-..)`.
cargo test --release --no-run --lib --test parity 2>&1 | tee "$checks/build" | grep -vE '^ +(Compiling|Fresh)' || {
  cat "$checks/build" >&2
  exit 1
}
program() {
  sed -n "s|^ *Executable .*$1 (\(.*\))$|\1|p" "$checks/build"
}
strip -o "$checks/root/bin/lib-tests" "$(program src/lib.rs)"
strip -o "$checks/root/bin/parity-tests" "$(program tests/parity.rs)"
strip -o "$checks/root/bin/loopos" "$(dirname "$(program src/lib.rs)")/../loopos"

# The guest keeps one thread: an emulated CPU gains nothing from two.
tests='lib-tests kernels:: --test-threads=1 && parity-tests --test-threads=1'
# What each guest must do; `expect` below holds its output to it.
enabled="loopos probe; LOOPOS_ISA=avx512 LOOPOS_EXPECT_ISA=avx512; export LOOPOS_ISA LOOPOS_EXPECT_ISA; $tests"
refused="loopos probe; LOOPOS_ISA=avx512 lib-tests --exact kernels::testing::the_forced_isa_is_the_one_that_runs --test-threads=1; \
echo \"AVX-512 forced: status \$?\"; LOOPOS_EXPECT_ISA=avx2; export LOOPOS_EXPECT_ISA; $tests"

# One guest a core: they do not disturb each other.
(trap - EXIT && boot tigerlake '' 600 "$checks/root" "$enabled") >"$checks/enabled" 2>&1 &
first=$!
(trap - EXIT && boot tigerlake avx512f 600 "$checks/root" "$refused") >"$checks/refused" 2>&1 &
second=$!
failed=0
wait $first || failed=1
wait $second || failed=1

# expect NAME PATTERN MEANING: a line of that guest's output.
expect() {
  if grep -qE -- "$2" "$checks/$1"; then
    echo "  yes: $3"
  else
    echo "  NO:  $3 (no line matches: $2)"
    failed=1
  fi
}
