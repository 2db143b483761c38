#include "daemons/rpcbindD/rpcbind.h"

int main(int argc, char **argv)
{
	return daemon_main(&rb_spec, argc, argv);
}
