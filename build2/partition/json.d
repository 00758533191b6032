build2/partition/json.o: partition/json.c partition/json.h base/error.h
partition/json.h:
base/error.h:
