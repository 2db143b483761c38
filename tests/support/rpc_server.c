/* A server as libtirpc's users write them: rpc_server PROGRAM VERSION [tcp|udp|netpath]. Procedure 1 gives its argument back, plus one. */
#include <rpc/rpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void serve(struct svc_req *request, SVCXPRT *transport)
{
	unsigned n = 0;
	if (request->rq_proc == 0) {
		(void)svc_sendreply(transport, (xdrproc_t)xdr_void, NULL);
	} else if (request->rq_proc != 1) {
		svcerr_noproc(transport);
	} else if (!svc_getargs(transport, (xdrproc_t)xdr_u_int, (caddr_t)&n)) {
		svcerr_decode(transport);
	} else {
		n++;
		(void)svc_sendreply(transport, (xdrproc_t)xdr_u_int, (caddr_t)&n);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	rpcprog_t program = strtoul(argv[1], NULL, 0);
	rpcvers_t version = strtoul(argv[2], NULL, 0);
	int made = svc_create(serve, program, version, argc > 3 ? argv[3] : "netpath");
	(void)printf("transports: %d\n", made);
	(void)fflush(stdout);
	if (made == 0)
		return 1;
	svc_run();
	return 1;
}
