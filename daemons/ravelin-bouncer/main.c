#include "daemons/ravelin-bouncer/bouncer.h"

int main(int argc, char **argv)
{
	return daemon_main(&bouncer_spec, argc, argv);
}
