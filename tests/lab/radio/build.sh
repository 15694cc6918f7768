#!/bin/bash
# Builds the guest of the radio lab from Debian packages: kernel, initrd, root tree.
# Needs no root and installs nothing. What is there already is not made again.
#
# usage: build.sh [DIR]      default: ${XDG_CACHE_HOME:-~/.cache}/blkutils/lab-radio
# needs: apt-get with its lists fetched, apt-cache, dpkg-deb, cpio, kmod, xz
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/blkutils/lab-radio}

# What the guest's scripts use. Nobody is configured: the files are unpacked, and that is enough.
packages='busybox-static bash coreutils util-linux bsdutils procps kmod grep sed gawk
    alsa-utils libasound2 libasound2-data libasound2-plugins libgcc-s1'
# Dependencies that only a full system needs.
unwanted='^(perl|libperl|python3|libpython3|debconf|cdebconf|dpkg|tar|systemd|libsystemd-shared|udev|init|adduser|passwd|login|mount$|libpam|ucf|sensible-utils|whiptail|mime-support|media-types|shared-mime|libgtk|libnewt|libslang|libicu|usrmerge|gcc-)'
# Modules which reach the root tree, and the devices of the lab.
modules='virtio_pci virtio_console 9pnet_virtio 9p overlay xhci_pci ftdi_sio snd_usb_audio'

say() { printf 'build.sh: %s\n' "$*" >&2; }
for tool in apt-get apt-cache dpkg-deb cpio depmod modprobe xz; do
    command -v "$tool" >/dev/null || { say "$tool is missing"; exit 1; }
done
mkdir -p "$dir/debs"; cd "$dir"

fetch() { # PACKAGE...: into debs/, those that are not there
    local package missing=()
    for package; do compgen -G "debs/${package}_*.deb" >/dev/null || missing+=("$package"); done
    [ ${#missing[@]} = 0 ] || (cd debs && apt-get -qq -o APT::Sandbox::User=root download "${missing[@]}")
}

kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$kernel" ] || { say 'no kernel package: apt-get update'; exit 1; }
stamp="$kernel $packages $(cksum <"$here/build.sh")"
if [ "$(cat root.stamp 2>/dev/null)" != "$stamp" ]; then
    say "kernel $kernel"
    fetch "$kernel"
    rm -rf kernel root initrd vmlinux; mkdir -p kernel root/usr/{bin,sbin,lib,lib64}
    dpkg-deb -x "$(ls debs/"$kernel"_*.deb)" kernel
    # shellcheck disable=SC2086
    closure=$(apt-cache depends --recurse --important $packages | grep '^[a-z0-9]' |
        grep -vE ":|$unwanted" | sort -u)
    # Names that are only provided by others have no version.
    # shellcheck disable=SC2086
    mapfile -t all < <(apt-cache --no-all-versions show $closure 2>/dev/null | awk '/^Package:/ { print $2 }' | sort -u)
    say "${#all[@]} packages"
    fetch "${all[@]}"
    for name in bin sbin lib lib64; do ln -s "usr/$name" "root/$name"; done
    for name in "${all[@]}"; do
        for deb in debs/"$name"_*.deb; do
            dpkg-deb --fsys-tarfile "$deb" | tar -x -C root --keep-directory-symlink --no-same-owner \
                --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/info'
        done
    done
    mkdir -p root/{dev,proc,sys,tmp,run,lab,root,etc,var}; rm -rf root/var/lock; ln -s /run/lock root/var/lock
    ln -sf /proc/mounts root/etc/mtab
    printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' 'nobody:x:65534:65534:nobody:/tmp:/bin/sh' >root/etc/passwd
    printf '%s\n' 'root:x:0:' 'tty:x:5:' 'dialout:x:20:' 'audio:x:29:' 'nogroup:x:65534:' >root/etc/group
    [ -e root/usr/bin/sh ] || ln -s bash root/usr/bin/sh
    [ -e root/usr/bin/awk ] || ln -s gawk root/usr/bin/awk
    version=$(ls kernel/lib/modules)
    mkdir -p root/usr/lib/modules; cp -a "kernel/lib/modules/$version" root/usr/lib/modules/
    depmod -b root "$version"
    printf %s "$stamp" >root.stamp
fi
version=$(ls kernel/lib/modules)

if [ ! -e initrd ] || [ "$here/guest-init" -nt initrd ] || [ "$here/guest-main" -nt initrd ]; then
    say initrd
    rm -rf ird; mkdir -p ird/{bin,modules,proc,sys,dev,root}
    cp root/usr/bin/busybox ird/bin/busybox; ln -s busybox ird/bin/sh
    cp "$here/guest-init" ird/init; cp "$here/guest-main" ird/main; chmod +x ird/init ird/main
    number=100
    # shellcheck disable=SC2086
    for module in $(for m in $modules; do modprobe -d root -S "$version" --show-depends "$m"; done |
        awk '$1 == "insmod" && !seen[$2]++ { print $2 }'); do
        cp "$module" "ird/modules/$number-$(basename "$module")"; number=$((number + 1))
    done
    (cd ird && find . | cpio -o -H newc --owner=0:0 --quiet) >initrd.new; mv initrd.new initrd
fi

# An uncompressed kernel is booted directly (PVH): unpacking it takes seconds under emulation.
if [ ! -e vmlinux ]; then
    image=kernel/boot/vmlinuz-$version
    # The kernel's XZ stream begins with this magic; some bytes follow it.
    offset=$(LC_ALL=C grep -abom1 $'\xfd7zXZ' "$image" | head -1 | cut -d: -f1)
    tail -c +$((offset + 1)) "$image" | xz -dc --single-stream >vmlinux.new 2>/dev/null || [ -s vmlinux.new ]
    mv vmlinux.new vmlinux
fi
say "$dir: kernel $version, root $(du -sm root | cut -f1) MiB"
