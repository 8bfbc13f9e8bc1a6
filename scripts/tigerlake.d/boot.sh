# boot MODEL REFUSED LIMIT DIR COMMAND: one guest from power-on to the command's exit status. Sourced by scripts/tigerlake.

# Copies what the dynamic programs under DIR load (their interpreter and libraries) to the same places under it.
add_libraries() {
  local root=$1 program library
  while IFS= read -r program; do
    while IFS= read -r library; do
      mkdir -p "$root$(dirname "$library")" && cp -Lu "$library" "$root$library"
    done < <(ldd "$program" 2>/dev/null | grep -o '/[^ ]*')
  done < <(find "$root" -type f -perm -u+x)
}

# Builds the boot image from the guest's root: kernel, initrd, and a boot loader that talks to the serial port.
build_image() {
  local work=$1 arguments=$2 iso=$1/iso
  mkdir -p "$iso/isolinux"
  (cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) >"$iso/initrd.gz"
  cp "$(guest_kernel)" "$iso/vmlinuz"
  cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$iso/isolinux/"
  printf '%s\n' 'DEFAULT guest' 'PROMPT 0' 'LABEL guest' ' KERNEL /vmlinuz' " APPEND initrd=/initrd.gz $arguments" >"$iso/isolinux/isolinux.cfg"
  genisoimage -quiet -R -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
    -o "$work/boot.iso" "$iso"
}

# The kernel's command line. FEATURES are refused on top of what Bochs does not do well enough for Linux.
kernel_arguments() {
  # Bochs' layout of the compacted XSAVE area is one that Linux refuses, and then it switches AVX off altogether; there is no APERF/MPERF.
  echo "quiet console=ttyS0 clearcpuid=pku,aperfmperf,xsaves,xsavec,xgetbv1${1:+,$1} nopku acpi=off nolapic noapic"
  # What only costs emulated time: mitigations, calibration, the kernel's tests of its ciphers, certificates, integrity measurement.
  echo "nokaslr mitigations=off lpj=1000000 tsc=reliable cryptomgr.notests"
  echo "initcall_blacklist=load_system_certificate_list,init_ima,init_evm,init_encrypted"
}

boot() {
  local model=$1 refused=$2 limit=$3 dir=$4 command=$5 work status emulator
  [ -d "$dir" ] || { echo "scripts/tigerlake: no folder $dir" >&2; return 2; }
  work=$(mktemp -d) || return 1
  # shellcheck disable=SC2064  # the folder of now, not of then
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work"/root/{bin,dev,proc,sys,tmp}
  cp -r "$dir"/. "$work/root/"
  add_libraries "$work/root"
  cp "$(command -v busybox)" "$work/root/bin/busybox"
  cp "$here/init" "$work/root/init"
  printf '%s\n' "$command" >"$work/root/command"
  build_image "$work" "$(kernel_arguments "$refused" | tr '\n' ' ')" || return 1
  sed -e "s|@WORK@|$work|g" -e "s|@HERE@|$here|g" -e "s|@MODEL@|$model|g" "$here/bochsrc" >"$work/bochsrc"
  echo c >"$work/debugger"
  : >"$work/serial"
  # Debian's Bochs stops in its debugger until told `c`, and will not start without a terminal, which script(1) gives it.
  TERM=xterm timeout "$limit" script -qec "bochs -q -f '$work/bochsrc' -rc '$work/debugger'" /dev/null </dev/null >"$work/screen" 2>&1 &
  emulator=$!
  # shellcheck disable=SC2064
  trap "kill $emulator 2>/dev/null || true; rm -rf '$work'" EXIT
  # Prints what the guest says as it says it; the output is over when the guest has ended or the emulator has.
  tail -s 0.2 -n +1 -f --pid="$emulator" "$work/serial" | sed -u -n -e 's/\r$//' -e '/^guest ends/q' -e '/^guest begins/,${//!p}' || true
  kill "$emulator" 2>/dev/null || true
  wait "$emulator" 2>/dev/null || true
  tr -d '\r' <"$work/serial" >"$work/said"
  status=$(sed -n 's/^guest ends with //p' "$work/said")
  [ -n "$status" ] && return "$status"
  echo "scripts/tigerlake: the guest did not finish within $limit s, or did not start; its last words, then the emulator's:" >&2
  tail -n 15 "$work/said" >&2
  tail -n 5 "$work/log" >&2 || cat "$work/screen" >&2
  return 124
}
