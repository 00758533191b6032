/* base/version.h — the version all programs of a build carry, and the one workers and coordinators compare. */
#pragma once

#define GEMMAPIPE_VERSION "0.1.0"
