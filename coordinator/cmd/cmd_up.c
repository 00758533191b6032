/* coordinator/cmd/cmd_up.c — `gemmapipe up`, `status`, `logs` and `down`: the machines of a cluster file. */
#include "coordinator/cmd/commands.h"
#include "coordinator/up/up.h"

#include "base/interrupt.h"

int command_up(enum command command, const struct options *o, struct err *why)
{
    const struct up_wish w = {.file = o->words[0], .only = o->words[1], .lines = command == CMD_LOGS ? o->lines : 0, .wait_seconds = o->wait, .json = o->json};
    interrupt_catch();
    if (command == CMD_UP && o->scan) return up_scan(o->scan, stdout, why);
    switch (command) {
    case CMD_UP: return up_start(&w, stdout, why);
    case CMD_STATUS: return up_status(&w, stdout, why);
    case CMD_LOGS: return up_logs(&w, stdout, why);
    default: return up_down(&w, stdout, why);
    }
}
