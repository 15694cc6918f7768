#!/bin/bash
# Boots the guest of the radio lab and runs a script in it, watched from outside.
#
# usage: run.sh [-d DIR] [-o OUT] [-p PROGRAM]... [-f FILE]... [-m 'MODULE...'] [-n PORTS] [-t SECONDS] SCRIPT [ARG]...
#   -d DIR      where build.sh has put the guest
#   -o OUT      a folder for the results (default lab-out); what is in it is removed
#   -p PROGRAM  a program that the script may run by its name; needs glibc and libasound at most
#   -f FILE     a file for the script, in /lab/in/files
#   -m MODULES  kernel modules to load, beside those of the devices
#   -n PORTS    how many USB serial ports (default 1)
#   -t SECONDS  a limit for the whole run (default 900)
# Exit status: that of the script; 124 when the limit is reached, 125 when the lab itself fails.
#
# OUT has stdout, stderr and status of the script, dmesg, and what was seen from outside:
#   trace.log   QEMU's trace of the modem lines, with times of the host's clock
#   marks       what lab_mark was told
#   audio.pcap  every USB packet of the sound card, in usbmon's format
# `cargo xtask lab radio --timeline OUT` makes timeline.txt, audio.txt and played.wav of them.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/blkutils/lab-radio
out=lab-out limit=900 ports=1 modules='' programs=() files=()
while getopts d:o:p:f:m:n:t: option; do
    case $option in
        d) dir=$OPTARG ;; o) out=$OPTARG ;; p) programs+=("$OPTARG") ;; f) files+=("$OPTARG") ;;
        m) modules=$OPTARG ;; n) ports=$OPTARG ;; t) limit=$OPTARG ;; *) exit 125 ;;
    esac
done
shift $((OPTIND - 1))
fail() { printf 'run.sh: %s\n' "$*" >&2; exit 125; }
[ $# -ge 1 ] || fail 'no script given'
[ -s "$dir/vmlinux" ] || fail "no guest in $dir: run build.sh"
script=$1; shift
share=$(mktemp -d) || exit 125
trap 'rm -rf "$share"' EXIT
mkdir -p "$share"/in/{bin,files} "$share/out"; rm -rf "$out"; mkdir -p "$out"
{ cat "$here/guest-lib"; printf 'set --'; [ $# = 0 ] || printf ' %q' "$@"; echo; cat "$script"; } >"$share/in/script" || exit 125
for program in ${programs[@]+"${programs[@]}"}; do cp -L "$program" "$share/in/bin/" || exit 125; done
for file in ${files[@]+"${files[@]}"}; do cp -rL "$file" "$share/in/files/" || exit 125; done

# The guest's clock is the HPET: on a busy host the TSC is calibrated wrongly by a factor.
usb=(-device qemu-xhci,id=xhci,p2=8,p3=8)
wait=/dev/ttyS0
for ((i = 0; i < ports; i++)); do
    usb+=(-chardev "null,id=usb$i" -device "usb-serial,id=ftdi$i,bus=xhci.0,port=$((i + 1)),chardev=usb$i,always-plugged=on,serial=LAB$i")
    wait+=" /dev/ttyUSB$i"
done
usb+=(-audiodev wav,id=audio,path="$out/mixed.wav",out.frequency=48000,timer-period=5000
    -device "usb-audio,bus=xhci.0,port=7,audiodev=audio,pcap=$out/audio.pcap")
printf "modules='%s'\nwait='%s /dev/snd/pcmC0D0p'\n" "$modules" "$wait" >"$share/in/conf"
timeout -k 5 "$limit" qemu-system-x86_64 -nodefaults -no-user-config -machine q35,usb=off \
    -accel "${LAB_ACCEL:-tcg,tb-size=128}" -cpu max -m 256 -display none -no-reboot \
    -kernel "$dir/vmlinux" -initrd "$dir/initrd" \
    -append 'quiet panic=-1 mitigations=off random.trust_cpu=on clocksource=hpet no_timer_check nokaslr audit=0 console=hvc0 8250.nr_uarts=2' \
    -chardev null,id=s0 -device isa-serial,chardev=s0,index=0 \
    -device virtio-serial-pci,max_ports=4 \
    -chardev file,id=console,path="$out/console.log" -device virtconsole,nr=0,chardev=console \
    -chardev file,id=marks,path="$out/marks" -device virtserialport,nr=2,chardev=marks,name=labmark \
    -virtfs "local,path=$dir/root,mount_tag=labroot,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$share,mount_tag=labshare,security_model=none,multidevs=remap" \
    "${usb[@]}" -D "$out/trace.log" -msg timestamp=on \
    --trace usb_serial_handle_control --trace serial_write --trace virtio_console_flush_buf \
    >"$out/qemu.log" 2>&1 </dev/null
qemu=$?
cp -r "$share"/out/. "$out"/
[ $qemu != 124 ] && [ $qemu != 137 ] || { echo "run.sh: limit of $limit s reached" >&2; exit 124; }
[ -s "$out/status" ] || fail "no result from the guest: see $out/console.log and $out/qemu.log"
exit "$(cat "$out/status")"
