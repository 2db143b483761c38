#include "daemons/rpcbindD/remote.h"

enum { RPCBIND_PROG = 100000 };

/* Programs whose word is worth more from this host than from elsewhere: a call that we pass on would come from here. The
 * NULL procedure, which does nothing, may be called of each: "rpcinfo -b" finds servers by it. */
static const struct {
	uint32_t prog;
	const char *why;
} refused[] = {
	{100003, "nfs: exports to this host would be read and written for others"},
	{100004, "ypserv: maps are served by source address"},
	{100005, "mountd: file handles are given out by source address"},
	{100007, "ypbind: a domain may be set from this host only"},
	{100009, "yppasswdd: passwords"},
	{100017, "rexd: runs commands"},
	{100021, "nlockmgr: locks of this host's own clients"},
	{100024, "status: lock recovery trusts notices of this host"},
	{100026, "bootparamd: names the root file system of a diskless host"},
	{100028, "ypupdated: changes maps"},
	{100029, "keyserv: secret keys of local users"},
	{100069, "ypxfrd: transfers whole maps"},
	{100083, "ttdbserverd: writes files"},
	{100099, "autofs: mounts for this host only"},
	{100133, "nsm_addrand: a notice of the kernel's lock manager"},
	{100227, "nfs_acl: rights of files"},
	{100300, "nisd: a name service that knows its callers by address"},
	{100303, "nispasswdd: passwords"},
};

const char *remote_refuses(uint32_t prog, uint32_t proc)
{
	if (prog == RPCBIND_PROG)
		return "rpcbind: a registry that calls itself, from its own address, registers for everybody";
	for (size_t i = 0; proc && i < sizeof(refused) / sizeof(refused[0]); i++)
		if (refused[i].prog == prog)
			return refused[i].why;
	return NULL;
}
