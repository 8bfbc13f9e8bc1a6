# What the emulation needs, and which Debian package has it. Sourced by scripts/tigerlake.

# A program or a file, and its package.
needs='
bochs                                        bochs
/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so  bochs-term
/usr/share/bochs/BIOS-bochs-latest           bochsbios
/usr/share/vgabios/vgabios.bin               vgabios
/usr/lib/ISOLINUX/isolinux.bin               isolinux
/usr/lib/syslinux/modules/bios/ldlinux.c32   syslinux-common
genisoimage                                  genisoimage
busybox                                      busybox-static
cpio                                         cpio
script                                       bsdutils
'

# Prints the packages whose program or file is not here.
missing_packages() {
  local need package
  while read -r need package; do
    [ -z "$need" ] || [ -e "$need" ] || command -v "$need" >/dev/null || echo "$package"
  done <<<"$needs"
}

# Stops with the command that installs what is missing.
require_tools() {
  local packages
  packages=$(missing_packages)
  [ -z "$packages" ] && return
  echo "scripts/tigerlake: missing here: ${packages//$'\n'/ }" >&2
  echo "install with: apt-get install -y ${packages//$'\n'/ }    (names of Debian and Ubuntu)" >&2
  exit 2
}

# Prints the path of the guest's kernel: Debian's cloud kernel, unpacked from its package once and kept in the user's cache.
guest_kernel() {
  local cache package
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/loopos-tigerlake
  if [ ! -s "$cache/vmlinuz" ]; then
    mkdir -p "$cache/unpack"
    package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\).*/\1/p' | head -n 1)
    if [ -z "$package" ] || ! (cd "$cache/unpack" && apt-get -q download "$package" >&2 && dpkg-deb -x "$package"_*.deb .); then
      echo "scripts/tigerlake: cannot fetch the package of Debian's cloud kernel (${package:-linux-image-cloud-amd64}): run apt-get update," >&2
      echo "or put a kernel with a serial console and an initrd's support at $cache/vmlinuz" >&2
      return 1
    fi
    mv "$cache"/unpack/boot/vmlinuz-* "$cache/vmlinuz" && rm -rf "$cache/unpack"
  fi
  echo "$cache/vmlinuz"
}
