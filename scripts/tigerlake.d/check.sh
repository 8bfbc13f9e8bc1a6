# The project's tests on the emulated chip, twice: with AVX-512, and with an AVX-512 that the system does not enable.
# Sourced by scripts/tigerlake. The binaries are the ones that `cargo test --release` runs here, without their debug information.

cd "$here/../.."
checks=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$checks"' EXIT
mkdir -p "$checks/root/bin"

# cargo names each test program that it built: `Executable unittests src/lib.rs (target/release/deps/loopos-..)`.
cargo test --release --no-run --lib --test parity 2>&1 | tee "$checks/build" | grep -vE '^ +(Compiling|Fresh)' || {
  cat "$checks/build" >&2
  exit 1
}
program() {
  sed -n "s|^ *Executable .*$1[^ ]* (\(.*\))$|\1|p" "$checks/build"
}
strip -o "$checks/root/bin/lib-tests" "$(program src/lib.rs)"
strip -o "$checks/root/bin/parity-tests" "$(program tests/parity)"
strip -o "$checks/root/bin/loopos" "$(dirname "$(program src/lib.rs)")/../loopos"

# The tests of each guest. Blocks of a product that are larger than a cache are the same for every ISA and take minutes of emulated
# floating point, so they are left to the host; of the parity tests the smaller models train here.
kernels='lib-tests kernels:: --skip across_blocks --test-threads=1'
enabled="NO_COLOR=1 loopos probe
export LOOPOS_ISA=avx512 LOOPOS_EXPECT_ISA=avx512
$kernels && parity-tests tied the_expected --test-threads=1"
refused="NO_COLOR=1 loopos probe
LOOPOS_ISA=avx512 lib-tests the_forced_isa --test-threads=1 2>&1 | grep -A1 panicked
export LOOPOS_EXPECT_ISA=avx2
parity-tests the_expected || exit
export LOOPOS_ISA=avx2
$kernels && parity-tests untied --test-threads=1"

# One guest a core: they do not disturb each other.
started=$SECONDS
(boot tigerlake '' 900 "$checks/root" "$enabled") >"$checks/enabled" 2>&1 &
first=$!
(boot tigerlake avx512f 900 "$checks/root" "$refused") >"$checks/refused" 2>&1 &
second=$!
failed=0
wait $first || failed=1
wait $second || failed=1

# expect GUEST PATTERN MEANING: a line of that guest's output.
expect() {
  if grep -qE -- "$2" "$checks/$1"; then
    echo "  yes  $3"
  else
    echo "  NO   $3: no line like '$2'"
    failed=1
  fi
}

for guest in enabled refused; do
  printf '\n-- AVX-512 %s\n' "$guest"
  cat "$checks/$guest"
done

printf '\nTiger Lake, emulated, in %d s\n' $((SECONDS - started))
echo 'AVX-512 enabled:'
expect enabled 'AVX-512 +●F +●DQ +●CD +●BW +●VL' 'loopos probe finds AVX-512 usable'
expect enabled 'the_forced_isa_is_the_one_that_runs \.\.\. ok' 'the kernel tests ran on AVX-512 alone'
expect enabled 'the_expected_isa_runs \.\.\. ok' 'the trainer ran on AVX-512'
expect enabled '^test untied_model_agrees_with_pytorch \.\.\. ok' 'ten training steps agree with PyTorch'
echo 'AVX-512 in the CPU, refused by the system:'
expect refused 'AVX-512 +○F +○DQ +○CD +○BW +○VL' 'loopos probe finds AVX-512 in the CPU and not enabled'
expect refused 'Unavailable.*avx512' 'forcing AVX-512 is refused with the reason'
expect refused 'the_expected_isa_runs \.\.\. ok' 'the same binary chooses AVX2'
expect refused 'the_forced_isa_is_the_one_that_runs \.\.\. ok' 'the kernel tests ran on AVX2'
expect refused '^test untied_model_agrees_with_pytorch \.\.\. ok' 'ten training steps agree with PyTorch'
for guest in enabled refused; do
  expect $guest '^test result: ok\. [0-9]{2,} passed' "at least ten kernel tests passed with AVX-512 $guest"
  grep '^test result' "$checks/$guest" || failed=1
done
exit $failed
