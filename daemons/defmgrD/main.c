#include "daemons/defmgrD/defmgr.h"

int main(int argc, char **argv)
{
	return daemon_main(&dm_spec, argc, argv);
}
