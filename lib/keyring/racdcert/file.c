/* Files that the caller names: opened with the caller's own uid, so that a set-uid safctl reads and
 * writes for nobody more than he may himself. */
#include "lib/base/secret.h"
#include "lib/base/xalloc.h"
#include "lib/keyring/racdcert/internal.h"
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = VERIFY_TRUST_CRL_MAX };

static bool as_caller(void)
{
	return getuid() == geteuid() || seteuid(getuid()) == 0;
}

static void as_before(uid_t before)
{
	if (geteuid() != before && seteuid(before))
		abort();
}

static bool file_failed(struct racd *r, const char *path, int err)
{
	say(r, RACF_REFUSED,
		"IRRD103I An error was encountered processing the specified file %.200s: %s", path,
		strerror(err));
	return false;
}

static bool read_fd(int fd, uint8_t **ret, size_t *ret_len)
{
	struct stat st;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > INPUT_MAX) {
		errno = errno ? errno : EFBIG;
		return false;
	}
	uint8_t *buf = xcalloc(1, (size_t)st.st_size + 1);
	ssize_t n = read(fd, buf, (size_t)st.st_size);
	if (n < 0) {
		free(buf);
		return false;
	}
	*ret = buf;
	*ret_len = (size_t)n;
	return true;
}

bool read_file(struct racd *r, const char *path, uint8_t **ret, size_t *ret_len)
{
	uid_t before = geteuid();
	int fd = as_caller() ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
	int err = errno;
	as_before(before);
	errno = fd < 0 ? err : 0;
	bool good = fd >= 0 && read_fd(fd, ret, ret_len);
	err = errno ? errno : EINVAL;
	if (fd >= 0)
		(void)close(fd);
	return good || file_failed(r, path, err);
}

static bool write_new(const char *temp, const char *path, const void *data, size_t len)
{
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, data, len) == (ssize_t)len && fsync(fd) == 0 &&
		    rename(temp, path) == 0;
	int err = errno;
	if (fd >= 0)
		(void)close(fd);
	if (fd >= 0 && !good)
		(void)unlink(temp);
	errno = err;
	return good;
}

bool write_file(struct racd *r, const char *path, const void *data, size_t len)
{
	char temp[4200];
	uid_t before = geteuid();
	if (strcmp(path, "-") == 0)
		return fwrite(data, 1, len, r->out) == len;
	if (snprintf(temp, sizeof(temp), "%s.%d.new", path, getpid()) >= (int)sizeof(temp))
		return file_failed(r, path, ENAMETOOLONG);
	bool good = as_caller() && write_new(temp, path, data, len);
	int err = errno;
	as_before(before);
	return good || file_failed(r, path, err);
}

static int give_password(char *buf, int size, int write, void *arg)
{
	const char *password = arg;
	(void)write;
	return password ? snprintf(buf, (size_t)size, "%s", password) : -1;
}

static EVP_PKEY *pem_key(const uint8_t *data, size_t len, const char *password)
{
	BIO *b = xcheck(BIO_new_mem_buf(data, (int)len));
	EVP_PKEY *key =
		PEM_read_bio_PrivateKey(b, NULL, give_password, (void *)(uintptr_t)password);
	BIO_free(b);
	return key;
}

static bool from_p12(const uint8_t *data, size_t len, const char *password, struct material *m)
{
	const unsigned char *p = data;
	STACK_OF(X509) *others = NULL;
	PKCS12 *p12 = d2i_PKCS12(NULL, &p, (long)len);
	bool good =
		p12 &&
		PKCS12_parse(p12, password ? password : "", &m->key, &m->certs[0], &others) == 1 &&
		m->certs[0];
	m->n = m->certs[0] ? 1 : 0;
	for (X509 *x; good && m->n < KEYRING_CHAIN_MAX && sk_X509_num(others) > 0 &&
		      (x = sk_X509_shift(others));)
		m->certs[m->n++] = x;
	sk_X509_pop_free(others, X509_free);
	PKCS12_free(p12);
	return good;
}

bool parse_material(
	struct racd *r, const uint8_t *data, size_t len, const char *password, struct material *ret)
{
	struct material m = {.n = 0};
	struct errbuf e = {"not a certificate in PEM or DER, nor PKCS #12 with that password"};
	bool has_key = memmem(data, len, "PRIVATE KEY-----", 16);
	bool good = ring_parse_certs(data, len, m.certs, &m.n, &e) == 0;
	if (good && has_key && !(m.key = pem_key(data, len, password))) {
		good = false;
		(void)err_set(&e, EINVAL, "the private key in it cannot be read%s",
			password ? " with that password" : ": PASSWORD('p') may be missing");
	}
	if (!good && !m.n && !has_key)
		good = from_p12(data, len, password, &m);
	if (good && m.key && X509_check_private_key(m.certs[0], m.key) != 1) {
		good = false;
		(void)err_set(
			&e, EINVAL, "the private key in it is not that of its first certificate");
	}
	ERR_clear_error();
	if (good) {
		*ret = m;
		return true;
	}
	say(r, RACF_REFUSED, "IRRD104I The specified file does not contain a valid certificate: %s",
		e.text);
	material_fini(&m);
	return false;
}
