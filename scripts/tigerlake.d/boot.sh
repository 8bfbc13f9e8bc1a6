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
  # clearcpuid, nopku: Bochs' layout of the compacted XSAVE area is one that Linux refuses, and then it switches AVX off altogether.
  build_image "$work" "quiet console=ttyS0 nokaslr mitigations=off lpj=1000000 tsc=reliable acpi=off nolapic noapic nopku cryptomgr.notests initcall_blacklist=load_system_certificate_list,init_evm,init_ima,init_trusted,init_encrypted,event_trace_init \
clearcpuid=pku,aperfmperf,xsaves,xsavec,xgetbv1${refused:+,$refused}" || return 1
  sed -e "s|@WORK@|$work|g" -e "s|@HERE@|$here|g" -e "s|@MODEL@|$model|g" "$here/bochsrc" >"$work/bochsrc"
  echo c >"$work/debugger"
  : >"$work/serial"
  # Debian's Bochs stops in its debugger until told `c`, and will not start without a terminal, which script(1) gives it.
  TERM=xterm timeout "$limit" script -qec "bochs -q -f '$work/bochsrc' -rc '$work/debugger'" /dev/null </dev/null >"$work/screen" 2>&1 &
  emulator=$!
  while kill -0 "$emulator" 2>/dev/null && ! grep -aq '^guest ends' "$work/serial"; do sleep 0.5; done
  kill "$emulator" 2>/dev/null || true
  wait "$emulator" 2>/dev/null || true
  tr -d '\r' <"$work/serial" >"$work/said"
  sed -n '/^guest begins/,/^guest ends/{//!p}' "$work/said"
  status=$(sed -n 's/^guest ends with //p' "$work/said")
  [ -n "$status" ] && return "$status"
  echo "scripts/tigerlake: the guest did not finish within $limit s, or did not start; its last words, then the emulator's:" >&2
  tail -n 15 "$work/said" >&2
  tail -n 5 "$work/log" >&2 || cat "$work/screen" >&2
  return 124
}
