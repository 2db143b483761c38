#include "daemons/ikeD/iked.h"

int main(int argc, char **argv)
{
	return daemon_main(&iked_spec, argc, argv);
}
