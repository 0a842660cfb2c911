/* The broker contract, for the program that defined the fixture. */
#include "cases_admin.h"
#include "cases_owner.h"
#include "cases_push.h"
#include "cases_random.h"
#include "cases_settle.h"
#include "cases_wait.h"
