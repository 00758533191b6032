#!/usr/bin/python3
"""deploy/licenses.py VERSION ARCH SECONDS STAGE — says under which licences a tarball is: STAGE/share/doc/gemmapipe/LICENSES.spdx (SPDX 2.3), and
the licence texts beside it. Every library in STAGE/lib/gemmapipe must stand in the table below; one that does not is an error."""
import glob, hashlib, os, re, shutil, subprocess, sys, time

# name of the library, Debian's package, its licence as SPDX writes it
TABLE = """
libzmq libzmq5 LGPL-3.0-or-later WITH LGPL-3.0-linking-exception
libcjson libcjson1 MIT
libedit libedit2 BSD-3-Clause
libxxhash libxxhash0 BSD-2-Clause
libwebp libwebp7 BSD-3-Clause
libmicrohttpd libmicrohttpd12 LGPL-2.1-or-later
libgomp libgomp1 GPL-3.0-or-later WITH GCC-exception-3.1
libstdc++ libstdc++6 GPL-3.0-or-later WITH GCC-exception-3.1
libgcc_s libgcc-s1 GPL-3.0-or-later WITH GCC-exception-3.1
libbsd libbsd0 BSD-3-Clause
libmd libmd0 BSD-3-Clause
libsodium libsodium23 ISC
libpgm-5.3 libpgm-5.3-0 LGPL-2.1-only
libnorm libnorm1 NRL
libgssapi_krb5 libgssapi-krb5-2 MIT
libkrb5 libkrb5-3 MIT
libk5crypto libk5crypto3 MIT
libkrb5support libkrb5support0 MIT
libcom_err libcom-err2 MIT
libkeyutils libkeyutils1 LGPL-2.0-or-later
libtinfo libtinfo6 X11
libgnutls libgnutls30 LGPL-2.1-or-later
libp11-kit libp11-kit0 BSD-3-Clause
libidn2 libidn2-0 LGPL-3.0-or-later OR GPL-2.0-or-later
libunistring libunistring2 LGPL-3.0-or-later OR GPL-2.0-or-later
libtasn1 libtasn1-6 LGPL-2.1-or-later
libnettle libnettle8 LGPL-3.0-or-later OR GPL-2.0-or-later
libhogweed libhogweed6 LGPL-3.0-or-later OR GPL-2.0-or-later
libgmp libgmp10 LGPL-3.0-or-later OR GPL-2.0-or-later
libffi libffi8 MIT
libopenblas libopenblas0-pthread BSD-3-Clause
libgfortran libgfortran5 GPL-3.0-or-later WITH GCC-exception-3.1
libquadmath libquadmath0 LGPL-2.1-or-later
libseccomp libseccomp2 LGPL-2.1-only
"""
LICENCES = {line.split()[0]: (line.split()[1], " ".join(line.split()[2:])) for line in TABLE.strip().splitlines()}


def package_of(arch, package):
    """(version, the file with its licences): of this machine, or of what deploy/sysroot.sh unpacked."""
    root = "" if arch == os.uname().machine else os.environ.get("SYSROOT", "build/sysroot-" + arch)
    if root:
        debs = glob.glob("%s/debs/%s_*.deb" % (root, package))
        version = os.path.basename(debs[0]).split("_")[1].replace("%3a", ":") if debs else "NOASSERTION"
    else: version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True).stdout
    text = "%s/usr/share/doc/%s/copyright" % (root, package)
    return version, text


def sha256(path):
    with open(path, "rb") as f: return hashlib.sha256(f.read()).hexdigest()


def entry(name, version, licence, origin, checksum=None):
    ident = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)
    lines = ["PackageName: " + name, "SPDXID: " + ident, "PackageVersion: " + version, "PackageDownloadLocation: " + origin, "FilesAnalyzed: false"]
    if checksum: lines.append("PackageChecksum: SHA256: " + checksum)
    return ident, "\n".join(lines + ["PackageLicenseConcluded: " + licence, "PackageLicenseDeclared: " + licence, "PackageCopyrightText: NOASSERTION"])


def main():
    version, arch, seconds, stage = sys.argv[1:]
    doc = stage + "/share/doc/gemmapipe"
    own, text = entry("gemmapipe", version, "MIT", "NOASSERTION")
    blocks, relations = [text], ["Relationship: SPDXRef-DOCUMENT DESCRIBES " + own]
    ident, text = entry("stb_image", "NOASSERTION", "MIT OR Unlicense", "https://github.com/nothings/stb")
    blocks.append(text); relations.append("Relationship: %s STATIC_LINK %s" % (own, ident))
    for path in sorted(glob.glob(stage + "/lib/gemmapipe/*.so.*")):
        name = os.path.basename(path).split(".so")[0]
        if name not in LICENCES: sys.exit("licenses: %s is bundled, and deploy/licenses.py does not say under which licence it is" % os.path.basename(path))
        package, licence = LICENCES[name]
        of, copyright_file = package_of(arch, package)
        os.makedirs(doc + "/licenses", exist_ok=True)
        if os.path.exists(copyright_file): shutil.copyfile(copyright_file, "%s/licenses/%s" % (doc, package))
        ident, text = entry(package, of, licence, "https://packages.debian.org/bookworm/" + package, sha256(path))
        blocks.append(text); relations.append("Relationship: %s DYNAMIC_LINK %s" % (own, ident))
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))
    head = "\n".join(["SPDXVersion: SPDX-2.3", "DataLicense: CC0-1.0", "SPDXID: SPDXRef-DOCUMENT", "DocumentName: gemmapipe-%s-linux-%s" % (version, arch),
                      "DocumentNamespace: https://spdx.org/spdxdocs/gemmapipe-%s-linux-%s" % (version, arch), "Creator: Tool: deploy/licenses.py", "Created: " + made])
    with open(doc + "/LICENSES.spdx", "w") as f: f.write("\n\n".join([head] + blocks + ["\n".join(relations)]) + "\n")


main()
