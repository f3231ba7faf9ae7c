"""``spanpipe layer``: the layer's zips, from the folder to an account.

A zip is read and checked (`archive`), regions are put to their partitions (`partitions`), the AWS
CLI's calls are made of both (`calls`, pure), and the command prints or runs them (`command`).
"""
