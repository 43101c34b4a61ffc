"""Clients and servers with other settings: greetings of several lines, TLS, MODE Z, denied verbs."""

import subprocess

from clients import Curl, Lftp, LftpTls
from further_servers import ProFtpd, PyFtpdlib
from servers import Vsftpd
from sessions.frame import download, list_folder, session


@session("auth-tls", [Vsftpd, ProFtpd, PyFtpdlib], LftpTls, "PASV", "AUTH TLS first, in clear when it is refused")
def auth_tls(scene):
    list_folder(scene)


BANNER = "Welcome to the ferry.\n227 is a code, and so is (10,1,2,3,4,5).\n\n220 files.\n"


class VsftpdBanner(Vsftpd):
    name = "vsftpd-banner"
    usual_port = 2151

    def command(self):
        banner = self.place.scratch / "banner"
        banner.write_text(BANNER)
        argv = super().command()
        argv[-1].write_text(argv[-1].read_text() + f"banner_file={banner}\n")
        return argv


class ProFtpdBanner(ProFtpd):
    name = "proftpd-banner"
    usual_port = 2153

    @property
    def extra(self):
        banner = self.place.scratch / "proftpd.banner"
        banner.write_text(BANNER)
        return f"DisplayConnect {banner}\nMultilineRFC2228 on\n"


class ProFtpdModeZ(ProFtpd):
    name = "proftpd-mode-z"
    usual_port = 2155
    extra = "LoadModule mod_deflate.c\nDeflateEngine on\n"


class PyFtpdlibBanner(PyFtpdlib):
    name = "pyftpdlib-banner"
    usual_port = 2157
    banner = BANNER.rstrip()


class VsftpdNoEpsv(Vsftpd):
    name = "vsftpd-denied"
    usual_port = 2159
    extra = Vsftpd.extra + "cmds_denied=EPSV,EPRT,STAT\n"


class VsftpdTlsOnly(Vsftpd):
    """Insists on TLS, which does not work through ferryline."""

    name = "vsftpd-tls"
    usual_port = 2161

    def command(self):
        certificate = self.place.scratch / "vsftpd.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ftp.example", "-days", "2"]
            + ["-keyout", certificate, "-out", certificate],
            check=True,
            capture_output=True,
        )
        argv = super().command()
        tls = f"ssl_enable=YES\nrsa_cert_file={certificate}\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\n"
        argv[-1].write_text(argv[-1].read_text() + tls)
        return argv


@session("greeting", [VsftpdBanner, ProFtpdBanner, PyFtpdlibBanner], Curl, "EPSV", "a greeting of several lines")
@session("greeting", [VsftpdBanner, ProFtpdBanner], Lftp, "PASV", "a greeting of several lines")
@session("mode-z", [ProFtpdModeZ], Lftp, "PASV", "lftp finds MODE Z and uses it")
@session("epsv-denied", [VsftpdNoEpsv], Curl, "EPSV", "EPSV is answered 550")
@session("eprt-denied", [VsftpdNoEpsv], Curl, "EPRT", "EPRT is answered 550")
@session("insists", [VsftpdTlsOnly], Curl, "EPSV", "the server wants TLS, ferryline lets none through")
@session("insists", [VsftpdTlsOnly], LftpTls, "PASV", "the server wants TLS, ferryline lets none through")
def as_set_up(scene):
    download(scene)
