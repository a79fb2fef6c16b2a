"""Does a person earn more than 50,000 dollars a year?"""
