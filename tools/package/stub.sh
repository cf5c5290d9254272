#!/bin/sh
# mxoss @VERSION@ in one file: this script, and behind it an archive of the program, its model and the Deno runtime.
# Once per version it is unpacked into the user's cache directory; every later start runs what lies there. To be rid of
# it, delete that directory.
#
# Needs a POSIX shell and ls; the first start also tail, gzip, tar, wc, find, mktemp, id and the like, as coreutils or
# busybox have them.
version='@VERSION@' id='@ID@' offset=@OFFSET@ size=@SIZE@
newline='
'

# Deno would open /dev/null in its place.
@REFUSE_CLOSED_STDOUT@

# The program in directory $1 takes this process over. May write only where the command line names something to write,
# and listen only where it is to serve; which of the permissions it keeps is then narrowed by the program itself
# (src/cli/permissions.ts).
start() {
  program=$1 write= net=
  shift
  # /save of a conversation.
  [ "${1-}" = chat ] && write=@WRITE_PERMISSION@
  for argument do
    case $argument in
      --) break ;;
      --out | --out=*) write=@WRITE_PERMISSION@ ;;
      # What a GPU's self-tests found is kept.
      --backend=hip | --backend=cuda | hip | cuda) write=@WRITE_PERMISSION@ ;;
    esac
  done
  [ "${1-}" != serve ] || net='@NET_PERMISSION@'
  # Ranks that are processes meet at an address.
  if [ -n "${WORLD_SIZE-}${OMPI_COMM_WORLD_SIZE-}${PMI_SIZE-}${SLURM_STEP_NUM_TASKS-}" ]; then
    net='@NET_PERMISSION@' master=${MASTER_ADDR-}
    master=${master#\[} master=${master%\]}
    # Deno knows no ranges of IPv6 addresses.
    case $master in *[!0-9A-Fa-f:.]*) ;; *:*) net="$net,[$master]" ;; esac
  fi
  # Its time tells a later version whether this one is still in use. It is no harm if that cannot be written.
  { true >"$program/started"; } 2>/dev/null
  # Deno keeps compiled code there; nothing of it goes into the user's own Deno directory.
  DENO_DIR=$program/state DENO_NO_UPDATE_CHECK=1
  export DENO_DIR DENO_NO_UPDATE_CHECK
  exec "$program/deno" run --quiet --cached-only @FLAGS@ $write ${net:+"$net"} "$program/main.js" "$@"
}

die() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# Calls $1 with each place that may hold the unpacked program, until one call succeeds: with a directory that should be
# there, with the way from it to the place, and with whether the user chose it, who may then have made a link of it, or
# anybody may write there.
each_place() {
  case ${XDG_CACHE_HOME-} in
    /*) "$1" "$XDG_CACHE_HOME" mxoss chosen && return ;;
  esac
  case ${HOME-} in
    /*) [ -d "$HOME" ] && "$1" "$HOME" .cache/mxoss chosen && return ;;
  esac
  user=$(PATH=$tools; id -u) || return
  for above in "${TMPDIR-}" /tmp /var/tmp; do
    case $above in
      /*) "$1" "$above" "mxoss-$user" shared && return ;;
    esac
  done
}

# Enters a place of each_place() and checks `.` then: what is checked before one is in it, another user can exchange in
# between. After that $PWD is a way to the place without links, which nobody else can make lead elsewhere. If it fails,
# $why says why.
enter() {
  why='cannot be entered'
  cd -P "$1" 2>/dev/null || return
  place=${PWD%/}/$2
  cd -P "./$2" 2>/dev/null || return
  if [ "$3" = shared ] && [ "$PWD" != "$place" ]; then
    why='is a link'
    return 1
  fi
  if [ ! -O . ]; then
    why='belongs to another user'
    return 1
  fi
  sheltered
}

# Whether nobody but the user and the system can write in `.`, or exchange it or a directory above it for another.
# Whoever owns the root directory is the system, beside user 0: in a user namespace that may be somebody else.
sheltered() {
  why='cannot be looked at'
  case $PWD in
    # The system says so of what lies outside of the root directory; and the list below is read line by line.
    [!/]* | *"$newline"*) return 1 ;;
  esac
  directory=$PWD
  set -- "$directory"
  while [ "$directory" != / ]; do
    directory=${directory%/*}
    directory=${directory:-/}
    set -- "$directory" "$@"
  done
  # In the order of their bytes: `.` as the user is in it, then as the way leads there, from the root directory down.
  entries=$(PATH=$tools LC_ALL=C && export PATH LC_ALL && ls -ldn . "$@" 2>/dev/null) || return
  set -f
  IFS=$newline
  set -- $entries
  unset IFS
  split $1
  user=$owner
  split $2
  system=$owner left=$# why=
  for entry do
    split $entry
    left=$((left - 1))
    case $owner in
      0 | "$system" | "$user") ;;
      *) why='lies in a directory of another user' && break ;;
    esac
    case $mode in
      # Only the owner can exchange what lies in a directory with the sticky bit; anybody can add something.
      ?????????[tT]*) [ "$left" -gt 0 ] && continue ;;
    esac
    case $mode in
      ????????w*) why='is open to other users' && break ;;
      # A group with the user's own number is one for him alone, with which some systems let him share by default.
      ?????w*) [ "$group" = "$user" ] || { why='is open to other users' && break; } ;;
    esac
  done
  set +f
  [ -z "$why" ]
}

# The words of a line of `ls -ldn`.
split() {
  mode=$1 owner=$3 group=$4
}

# Whether directory $1 in `.`, which is the user's alone, holds the whole program. Who tidies up removes single files.
whole() {
  [ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ] && [ -x "$1/deno" ] || return
  for file in complete @FILES@; do
    [ -f "$1/$file" ] || return
  done
}

found() {
  [ -d "$1/$2/$id" ] && program=$(enter "$@" && whole "$id" && printf '%s' "$PWD/$id")
}

# The place is of no use, and $1 says why, in several lines perhaps, an empty one first.
refuse() {
  why=${1#"$newline"}
  problems="$problems${problems:+; }$named: ${why%%"$newline"*}"
  [ -z "$part" ] || rm -rf "$part"
  part=
  cd / && [ -n "$made" ] && rmdir "$named" 2>/dev/null
  return 1
}

# Unpacks into a place of each_place(): under a name of its own, which is given up for the real one when everything is
# there. So whoever finds the real name finds all of it, also when several processes unpack at once or are killed. All
# names are relative to the place.
unpack() {
  part='' named=$1/$2 made=
  [ -d "$named" ] || made=yes
  (umask 077 && mkdir -p "$named") 2>/dev/null || refuse 'cannot be made' || return
  enter "$@" || refuse "$why" || return
  part=$(mktemp -d ./.part.XXXXXX 2>/dev/null) || refuse 'cannot be written' || return
  # What killed first starts left; a day is more than any running one takes.
  find . -maxdepth 1 -name '.part.*' -mtime +0 -exec rm -rf {} + 2>/dev/null

  # The status of a pipeline is that of its last command; a broken archive is gzip's to notice. It must not see its
  # reader go before it is done, which a tar may at the end of the archive.
  problem=$(
    exec 2>&1
    cd "$part" || exit
    tail -c "+$offset" "$self" | { gzip -dc || : >damaged; } | { tar -xomf - && cat >/dev/null; } && [ ! -e damaged ]
  ) || refuse "${problem:-cannot be unpacked}" || return
  problem=$("$part/deno" --version 2>&1) || refuse "the unpacked runtime does not start: $problem" || return
  # To the disk before its real name is; a sync without operands does it too, for a longer list of files.
  find "$part" -type f -exec sync {} + 2>/dev/null || sync
  echo "$id" >"$part/complete" || refuse 'cannot be written' || return

  # A program that has lost files makes room.
  [ ! -e "$id" ] || whole "$id" || mv -f "$id" "$part/broken" || refuse 'cannot be written' || return
  mv -f "$part" "$id" || refuse 'cannot be written' || return
  # If another process was faster, mv has put ours into its directory instead.
  rm -rf "$id/${part##*/}" "$id/broken"
  part=
  whole "$id" || refuse 'is being changed by somebody' || return
  forget
}

# Removes other versions in `.` that were not started for a month and do not run on this machine.
forget() {
  for version in [0-9]*.[0-9]*.[0-9]*-????????????????; do
    [ "$version" != "$id" ] && [ -f "$version/complete" ] && [ ! -h "$version" ] && [ -O "$version" ] || continue
    started=$version/started
    [ -f "$started" ] || started=$version/complete
    [ -n "$(find "$started" -mtime +30)" ] || continue
    for process in /proc/[0-9]*/exe; do
      [ "$process" -ef "$version/deno" ] && continue 2
    done
    # Whole or not at all: who finds the name may start it.
    part=$(mktemp -d ./.part.XXXXXX) && mv "$version" "$part/" && rm -rf "$part"
    part=
  done 2>/dev/null
  return 0
}

# Whether `.` has no name any more: then it has no links, but that is looked at only where the shell's own way fails.
removed() {
  [ . -ef "$PWD" ] && return 1
  entry=$(PATH=$tools; ls -ldn . 2>/dev/null) || return
  set -- $entry
  [ "$2" = 0 ]
}

tools=${PATH:+$PATH:}/usr/bin:/bin
# Deno would say so in lines of its own.
removed && die 'the current directory was removed'
each_place found && start "$program" "$@"

case $0 in
  /*) self=$0 ;;
  *) self=$PWD/$0 ;;
esac
(
  PATH=$tools LC_ALL=C
  export PATH LC_ALL
  bytes=$(wc -c <"$self") || die "$0: cannot be read"
  [ "$((bytes))" -eq "$size" ] || die "$0: expected $size bytes, got $((bytes)): the file is damaged"
  problems='' part=''
  # A second signal must not end what removes.
  trap 'trap "" HUP INT TERM; [ -z "$part" ] || rm -rf "$part"; exit 130' HUP INT TERM
  each_place unpack || die "mxoss $version cannot be unpacked, which takes @MEGABYTES@ MB: $problems"
) || exit
each_place found && start "$program" "$@"
die "mxoss $version was unpacked, but is gone"
