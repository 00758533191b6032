/* partition/tool/cmd_split.h — gemmapipe-partition split: a model in, one shard per worker and a manifest out. */
#pragma once

#include "base/error.h"

int cmd_split(int argc, char **argv, struct err *why);
